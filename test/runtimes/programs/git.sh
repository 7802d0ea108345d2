set -e
export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'
git config --global user.email a@example.org
git config --global user.name somebody
git config --global init.defaultBranch main
mkdir r && cd r && git init -q
for i in $(seq 1 300); do echo "file $i" > f$i; done
git add . && git commit -qm first && echo change >> f1 && git commit -qam second
git checkout -q -b side HEAD~1 && echo side > s && git add s && git commit -qm side && git merge -q main -m merged
git log --oneline --graph
git gc -q && git status --short | wc -l && git fsck 2>&1 | tail -1
cd .. && git clone -q r r2 && cd r2 && git log --format=%s && ls | wc -l
git stash list; echo x >> f2; git stash -q; git stash pop -q; git diff --stat
