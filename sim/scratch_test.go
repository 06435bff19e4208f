package sim
import ("testing";"fmt";"os";"strconv";"time")
func TestOne(t *testing.T){
 i,_:=strconv.Atoi(os.Getenv("N"))
  s:=Generate(NewSource(uint64(i)))
  out:=Run(s,RunOptions{SkipLinearizability:true})
  by:=map[string][]*Operation{}
  for i:=range out.Ops{by[out.Ops[i].Key]=append(by[out.Ops[i].Key],&out.Ops[i])}
  for k,ops:=range by{
   b:=time.Now()
   x:=make([]Operation,0);for _,o:=range ops{x=append(x,*o)}
   r:=checkLinearizable(x)
   fmt.Println(k,len(ops),time.Since(b),len(r),len(keyHistory(ops)))
   if len(r)>0 { for _,o:=range keyHistory(ops) {fmt.Println(o.Call,o.Return,*o.Input.(*keyInput),*o.Output.(*keyOutput)) }}
  }
  fmt.Println(out.Violation)
}
